{
  lib,
  stdenv,
  fetchFromGitHub,
  nix-update-script,
}:

stdenv.mkDerivation (finalAttrs: {
  pname = "x";
  version = "1.1.0";

  src = fetchFromGitHub {
    owner = "good";
    repo = "x";
    tag = "v${finalAttrs.version}";
    hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";
  };

  __structuredAttrs = true;
  passthru.updateScript = nix-update-script { };

  meta = {
    changelog = "https://github.com/good/x/releases/tag/${finalAttrs.src.tag}";
    mainProgram = "x";
  };
})
