{
  lib,
  stdenv,
  fetchurl,
  enableKTLS ? stdenv.hostPlatform.isLinux,
}:

let
  common =
    {
      version,
      hash,
      patches ? [ ],
      extraMeta ? { },
    }:
    stdenv.mkDerivation (finalAttrs: {
      pname = "openssl";
      inherit version patches;

      src = fetchurl {
        url = "https://github.com/openssl/openssl/releases/download/openssl-${version}/openssl-${version}.tar.gz";
        inherit hash;
      };

      outputs = [
        "bin"
        "dev"
        "out"
        "man"
      ];

      configureFlags = [
        "shared"
        "--libdir=lib"
      ]
      ++ lib.optional enableKTLS "enable-ktls";

      postInstall = ''
        # The private key directory must exist, or c_rehash complains.
        mkdir -p $out/etc/ssl/private
      '';

      meta = {
        homepage = "https://www.openssl.org/";
        description = "Cryptographic library that implements the SSL and TLS protocols";
        license = lib.licenses.asl20;
        mainProgram = "openssl";
        maintainers = with lib.maintainers; [
          tomas
          ines
        ];
        platforms = lib.platforms.all;
      }
      // extraMeta;
    });
in
common {
  version = "3.0.13";
  hash = "sha256-ouz6j1irqfFaABnLcyVea7cU6If/2Buy0O+wG5W2ZkI=";
  patches = [ ./use-etc-ssl-certs.patch ];
}
