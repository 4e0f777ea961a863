{
  lib,
  stdenv,
  fetchFromGitHub,
  rustPlatform,
  pcre2,
  withPCRE2 ? true,
}:

rustPlatform.buildRustPackage rec {
  pname = "ripgrep";
  version = "14.1.0";

  src = fetchFromGitHub {
    owner = "BurntSushi";
    repo = pname;
    rev = version;
    hash = "sha256-CK2EioujGcSKZA55W0B9ERIYhxhNeozF9GsibBlEcqY=";
  };

  cargoHash = "sha256-YBpMW4qx+6UvVXEGw/CiR3f/A6lb4pI0OkyAInqRDos=";

  buildInputs = lib.optional withPCRE2 pcre2;

  buildFeatures = lib.optional withPCRE2 "pcre2";

  doInstallCheck = true;
  installCheckPhase = ''
    file="$(mktemp)"
    echo "abc\nbcd\ncde" > "$file"
    $out/bin/rg -N 'bcd' "$file"
  '';

  meta = with lib; {
    description = "Utility that combines the usability of The Silver Searcher with the raw speed of grep";
    homepage = "https://github.com/BurntSushi/ripgrep";
    license = with licenses; [
      unlicense
      mit
    ];
    maintainers = with maintainers; [ lindqvist ];
    mainProgram = "rg";
  };
}
