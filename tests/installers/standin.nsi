; A Windows program for the tests of Setup.exe: it writes down how it was started, and fails where it is told to.
Unicode true
Target amd64-unicode
SilentInstall silent
RequestExecutionLevel user
OutFile "${OUT}"
!include FileFunc.nsh
!include LogicLib.nsh

Section
  ${GetParameters} $0
  FileOpen $1 "$PROFILE\said" a
  FileSeek $1 0 END
  FileWrite $1 "$0$\n"
  FileClose $1
  ${If} ${FileExists} "$PROFILE\refuse"
    SetErrorLevel 1
  ${EndIf}
SectionEnd
