{
  lib,
  buildGoModule,
  fetchFromGitHub,
}:

buildGoModule (finalAttrs: {
  pname = "yq-go";
  version = "4.40.5";

  src = fetchFromGitHub {
    owner = "mikefarah";
    repo = "yq";
    rev = "v${finalAttrs.version}";
    hash = "sha256-5kEzoxDkRbui9yIjC0+azsazx+2pKb/MQ8ZmGTsIeoo=";
  };

  vendorHash = "sha256-Jz+31Tvor7fsyipg/uMnM0nwwLMfDhAa5FYxB2RDpOg=";

  meta = {
    description = "Portable command-line YAML processor";
    homepage = "https://mikefarah.gitbook.io/yq/";
    mainProgram = "yq";
    license = [ lib.licenses.mit ];
    maintainers = with lib.maintainers; [ ines ];
  };
})
