{
  lib,
  stdenv,
  fetchurl,
}:

let
  version = "6.24";
  downloadVersion = lib.replaceStrings [ "." ] [ "" ] version;
  srcUrl = {
    aarch64-linux = {
      url = "https://www.rarlab.example/rar/rarlinux-arm-${downloadVersion}.tar.gz";
      hash = "sha256-X0K6W9xPyPAkxWpZnFoYihaBacTTuTdljeP1dyx7sNY=";
    };
    x86_64-linux = {
      url = "https://www.rarlab.example/rar/rarlinux-x64-${downloadVersion}.tar.gz";
      hash = "sha256-XXc4LAjgDFfPn5b/VBgvk3tguuaD8XpRAG1vmXDb5G8=";
    };
  };
in
stdenv.mkDerivation {
  pname = "rar";
  inherit version;

  src = fetchurl srcUrl.${stdenv.hostPlatform.system} or (throw "rar is not available on ${stdenv.hostPlatform.system}");

  installPhase = ''
    mkdir -p $out/bin
    cp {rar,unrar} $out/bin/
  '';

  meta = with lib; {
    description = "Utility for RAR archives";
    homepage = "https://www.rarlab.example/";
    license = licenses.unfree;
    platforms = attrNames srcUrl;
    mainProgram = "rar";
  };
}
