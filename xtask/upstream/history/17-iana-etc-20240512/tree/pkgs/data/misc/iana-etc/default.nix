{
  lib,
  stdenv,
  fetchFromGitHub,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "iana-etc";
  version = "20240512";

  src = fetchFromGitHub {
    owner = "registry";
    repo = "iana-etc";
    rev = finalAttrs.version;
    hash = "sha256-djRNp6u1OG688yR2Yj1pNDWEJOFLs9g9pHHYxTMpZ+k=";
  };

  installPhase = ''
    runHook preInstall
    mkdir -p $out/etc
    cp protocols services $out/etc/
    runHook postInstall
  '';

  meta = {
    description = "IANA protocol and port number assignments (/etc/protocols and /etc/services)";
    homepage = "https://github.com/registry/iana-etc";
    license = lib.licenses.publicDomain;
    maintainers = with lib.maintainers; [ tomas ];
    platforms = lib.platforms.unix;
  };
})
