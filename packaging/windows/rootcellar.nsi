; Setup for Windows: per user, no administrator. Made by scripts/build_installers.py, which defines
; VERSION, NUMBERS (a.b.c.d), KIB, PAYLOAD, OUT and, where it signs, SIGN; TARGET off Windows.
;
;   Setup.exe [/S] [/D=DIR]                  /S: ask nothing, open nothing; /D must come last, without quotes
;   uninstall.exe [/S] [/KEEPHOSTS]          /KEEPHOSTS: leave our entries in the applications
;
; Versions lie side by side in versions\, and the junction `current` leads to the one that hosts start: Windows locks
; the files of a running server, so its version is left alone, and goes with the next update.
; Exit codes: 0 done, 1 cancelled, 2 in use or could not be placed, 3 entries could not be taken out of an application.

Unicode true
!ifdef TARGET
  Target ${TARGET}
!endif
SetCompressor /SOLID lzma
ManifestDPIAware true
RequestExecutionLevel user
Name "Rootcellar"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\Rootcellar"
InstallDirRegKey HKCU "Software\Rootcellar" "Place"
BrandingText "Rootcellar ${VERSION}"

!include MUI2.nsh
!include LogicLib.nsh
!include FileFunc.nsh

!define LISTED "Software\Microsoft\Windows\CurrentVersion\Uninstall\Rootcellar"
!define MUI_ICON "rootcellar.ico"
!define MUI_UNICON "rootcellar.ico"
!define MUI_FINISHPAGE_TITLE "Rootcellar is here"
!define MUI_FINISHPAGE_TEXT "In Setup you choose which applications may use it, and which of your folders. You find it in the Start menu."
!define MUI_FINISHPAGE_RUN "$INSTDIR\current\rootcellar.exe"
!define MUI_FINISHPAGE_RUN_PARAMETERS "setup"
!define MUI_FINISHPAGE_RUN_TEXT "Open Setup"
!insertmacro MUI_PAGE_INSTFILES
!insertmacro MUI_PAGE_FINISH
!insertmacro MUI_UNPAGE_CONFIRM
!insertmacro MUI_UNPAGE_INSTFILES
!insertmacro MUI_LANGUAGE "English"

VIProductVersion "${NUMBERS}"
VIAddVersionKey "ProductName" "Rootcellar"
VIAddVersionKey "ProductVersion" "${VERSION}"
VIAddVersionKey "FileDescription" "Rootcellar Setup"
VIAddVersionKey "FileVersion" "${VERSION}"
VIAddVersionKey "LegalCopyright" "The Rootcellar authors"

!ifdef SIGN
  !uninstfinalize '$%WINDOWS_SIGN%'
  !finalize '$%WINDOWS_SIGN%'
!endif

Var Place ; the name of this version's directory

Section "Rootcellar"
  SetOverwrite on
  RMDir /r "$INSTDIR\versions\.new"
  SetOutPath "$INSTDIR\versions\.new"
  File /r "${PAYLOAD}\*"
  SetOutPath "$INSTDIR" ; a directory that is somebody's current one cannot be renamed

  ; The same version again: it makes room, or, while it runs, the new one gets a name of its own.
  StrCpy $Place "${VERSION}"
  ${If} ${FileExists} "$INSTDIR\versions\$Place\*.*"
    ClearErrors
    Rename "$INSTDIR\versions\$Place" "$INSTDIR\versions\.old"
    ${If} ${Errors}
      System::Call "kernel32::GetTickCount() i .r0"
      StrCpy $Place "${VERSION}+$0"
    ${EndIf}
  ${EndIf}
  ClearErrors
  Rename "$INSTDIR\versions\.new" "$INSTDIR\versions\$Place"
  ${If} ${Errors}
    Call Failed
  ${EndIf}

  RMDir "$INSTDIR\current" ; the junction, not what it leads to
  ${If} ${FileExists} "$INSTDIR\current\*.*" ; a copy, see below: refused while a server runs from it
    ClearErrors
    Rename "$INSTDIR\current" "$INSTDIR\versions\.before"
    ${If} ${Errors}
      Call Failed
    ${EndIf}
  ${EndIf}
  nsExec::Exec 'cmd.exe /d /c mklink /J "$INSTDIR\current" "$INSTDIR\versions\$Place"'
  Pop $0
  ${IfNot} ${FileExists} "$INSTDIR\current\rootcellar.exe" ; a disk without junctions (exFAT): a copy has to do
    CreateDirectory "$INSTDIR\current"
    CopyFiles /SILENT "$INSTDIR\versions\$Place\*.*" "$INSTDIR\current"
  ${EndIf}
  ${IfNot} ${FileExists} "$INSTDIR\current\rootcellar.exe"
    Call Failed
  ${EndIf}

  ; What no program holds any more goes.
  FindFirst $0 $1 "$INSTDIR\versions\*"
  ${DoWhile} $1 != ""
    ${If} $1 != "."
    ${AndIf} $1 != ".."
    ${AndIf} $1 != $Place
      ClearErrors
      Rename "$INSTDIR\versions\$1" "$INSTDIR\versions\.gone"
      ${IfNot} ${Errors}
        RMDir /r "$INSTDIR\versions\.gone"
      ${EndIf}
    ${EndIf}
    FindNext $0 $1
  ${Loop}
  FindClose $0

  FileOpen $0 "$INSTDIR\installed-by" w
  FileWrite $0 "setup"
  FileClose $0
  File "rootcellar.ico"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\Rootcellar Setup.lnk" "$INSTDIR\current\rootcellar.exe" "setup" \
    "$INSTDIR\rootcellar.ico" 0 SW_SHOWMINIMIZED "" "Choose which applications may use which of your folders"

  WriteRegStr HKCU "Software\Rootcellar" "Place" "$INSTDIR"
  WriteRegStr HKCU "${LISTED}" "DisplayName" "Rootcellar"
  WriteRegStr HKCU "${LISTED}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${LISTED}" "Publisher" "The Rootcellar authors"
  WriteRegStr HKCU "${LISTED}" "DisplayIcon" "$INSTDIR\rootcellar.ico"
  WriteRegStr HKCU "${LISTED}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${LISTED}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${LISTED}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${LISTED}" "EstimatedSize" ${KIB}
  WriteRegDWORD HKCU "${LISTED}" "NoModify" 1
  WriteRegDWORD HKCU "${LISTED}" "NoRepair" 1
SectionEnd

Function Failed
  SetErrorLevel 2
  MessageBox MB_ICONSTOP "Rootcellar could not be placed in $INSTDIR. Close the applications that use it, then try again." /SD IDOK
  Quit
FunctionEnd

Section "Uninstall"
  ; What we wrote into other applications goes first, while the program that knows how is still here.
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/KEEPHOSTS" $1
  ${If} ${Errors}
    MessageBox MB_YESNOCANCEL|MB_ICONQUESTION "Take Rootcellar out of your applications' settings first?" \
      /SD IDYES IDYES take IDNO keep
    SetErrorLevel 1
    Quit
  ${Else}
    Goto keep
  ${EndIf}
take:
  nsExec::ExecToLog '"$INSTDIR\current\rootcellar.exe" uninstall --yes'
  Pop $0
  ${If} $0 != 0
    SetErrorLevel 3
    MessageBox MB_ICONSTOP "Some entries could not be taken out (see the details). Nothing else was removed." /SD IDOK
    Quit
  ${EndIf}
keep:
  SetOutPath "$TEMP"
  ClearErrors
  Rename "$INSTDIR\versions" "$INSTDIR\.gone" ; refused as a whole while a server runs from it
  ${If} ${Errors}
    Call un.InUse
  ${EndIf}
  RMDir "$INSTDIR\current"
  ${If} ${FileExists} "$INSTDIR\current\*.*" ; a copy
    ClearErrors
    Rename "$INSTDIR\current" "$INSTDIR\.gone\.copy"
    ${If} ${Errors}
      Rename "$INSTDIR\.gone" "$INSTDIR\versions"
      Call un.InUse
    ${EndIf}
  ${EndIf}
  RMDir /r "$INSTDIR\.gone"
  Delete "$INSTDIR\installed-by"
  Delete "$INSTDIR\rootcellar.ico"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\Rootcellar Setup.lnk"
  DeleteRegKey HKCU "${LISTED}"
  DeleteRegKey HKCU "Software\Rootcellar"
SectionEnd

Function un.InUse
  SetErrorLevel 2
  MessageBox MB_ICONSTOP "Rootcellar is in use. Close the applications that use it, then try again." /SD IDOK
  Quit
FunctionEnd
