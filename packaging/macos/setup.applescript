-- Opens Setup in the user's browser; the program goes on by itself and ends when the page is closed.
do shell script "'/Library/Application Support/Rootcellar/current/rootcellar' setup >/dev/null 2>&1 &"
