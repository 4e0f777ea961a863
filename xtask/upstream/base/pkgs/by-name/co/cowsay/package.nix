{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "cowsay";
  version = "3.7.0";

  outputs = [
    "out"
    "man"
  ];

  src = fetchFromGitHub {
    owner = "barnyard";
    repo = "cowsay";
    rev = "v${version}";
    hash = "sha256-VYrTGdjxGVweDZSkmPODrHbP2kRP9tleujrQdH79gNA=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp cowsay $out/bin/
    outputMan=$man installManPage cowsay.1
    runHook postInstall
  '';

  meta = with lib; {
    description = "Program that generates ASCII pictures of a cow with a message";
    homepage = "https://github.com/barnyard/cowsay";
    license = licenses.gpl3Plus;
    maintainers = [ maintainers.okoye ];
    mainProgram = "cowsay";
    platforms = platforms.all;
  };
}
