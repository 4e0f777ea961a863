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
  version = "14.0.3";

  src = fetchFromGitHub {
    owner = "BurntSushi";
    repo = pname;
    rev = version;
    hash = "sha256-2emUMaKVdjyFL7CmlGTm9uxqLKrOKb62qnLtG7yG8Vs=";
  };

  cargoHash = "sha256-NKSLL11yakXKWTakkorYp/YMfd+J4QSOyZIfFOpYK3U=";

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
