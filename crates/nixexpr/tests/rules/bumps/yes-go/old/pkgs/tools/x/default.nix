{ lib, buildGoModule, fetchFromGitHub }:

buildGoModule rec {
  pname = "x";
  version = "1.0";
  src = fetchFromGitHub {
    owner = "good";
    repo = "x";
    rev = "v${version}";
    hash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE=";
  };
  vendorHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAQ=";
  ldflags = [ "-X main.version=${version}" ];
}
