{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "lantern";
  version = "1.4";

  src = fetchFromGitHub {
    owner = "lamplight";
    repo = "lantern";
    rev = "v${finalAttrs.version}";
    hash = "sha256-jj63mHT6vuX/dyDqbz5wvMQjBQvtnRtuhbuK9Jm+wWY=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp lantern $out/bin/
    runHook postInstall
  '';

  meta = {
    description = "Shows the files of a directory by size";
    homepage = "https://github.com/lamplight/lantern";
    license = lib.licenses.mit;
    maintainers = with lib.maintainers; [ okoye ];
    mainProgram = "lantern";
    platforms = lib.platforms.unix;
  };
})
