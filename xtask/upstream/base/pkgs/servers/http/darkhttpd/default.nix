{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation rec {
  pname = "darkhttpd";
  version = "1.14";

  src = fetchFromGitHub {
    owner = "emikulic";
    repo = "darkhttpd";
    rev = "v${version}";
    hash = "sha256-+dzBabjoELxbXY1508sdivV8/tp7ffIh7qn8F6X2td4=";
  };

  enableParallelBuilding = true;

  installPhase = ''
    runHook preInstall
    mkdir -p $out/bin
    cp darkhttpd $out/bin/
    runHook postInstall
  '';

  meta = with lib; {
    description = "Small and secure static webserver";
    homepage = "https://unix4lyfe.org/darkhttpd/";
    license = licenses.bsd3;
    maintainers = with maintainers; [ okoye ];
    platforms = platforms.all;
    mainProgram = "darkhttpd";
  };
}
