{ lib, buildGoModule, fetchFromGitHub }:

buildGoModule rec {
  pname = "x";
  version = "1.1";
  src = fetchFromGitHub {
    owner = "good";
    repo = "x";
    rev = "v${version}";
    hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAI=";
  };
  vendorHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAU=";
  ldflags = [ "-X main.version=${version}" ];
}
