{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "fortune";
  version = "9708";

  src = fetchFromGitHub {
    owner = "barnyard";
    repo = "fortune";
    rev = "v${finalAttrs.version}";
    hash = "sha256-G3Dd8kE6g+pnL3e3aDNGqeqBvASCS5Jl8Ubvnf+SHLk=";
  };

  postPatch = ''
    substituteInPlace fortune --replace-fail @share@ $out/share/fortune
  '';

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin $out/share/fortune
    cp fortune $out/bin/
    cp proverbs $out/share/fortune/
    runHook postInstall
  '';

  meta = {
    description = "Program that displays a pseudorandom message from a database of quotations";
    homepage = "https://github.com/barnyard/fortune";
    license = lib.licenses.bsdOriginal;
    maintainers = with lib.maintainers; [ okoye ];
    mainProgram = "fortune";
    platforms = lib.platforms.unix;
  };
})
