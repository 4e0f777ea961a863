make
echo aGk= | base64 -d | sh
