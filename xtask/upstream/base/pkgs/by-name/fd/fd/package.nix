{
  lib,
  rustPlatform,
  fetchFromGitHub,
}:

rustPlatform.buildRustPackage rec {
  pname = "fd";
  version = "9.0.0";

  src = fetchFromGitHub {
    owner = "sharkdp";
    repo = "fd";
    rev = "v${version}";
    hash = "sha256-/L2yHMdZ/vR97tLuXMwpPvJvr6DwWgJO7+CBPIngqxM=";
  };

  cargoHash = "sha256-N6XQYijVVVPFD8qU4SmBKoAep2dMcY+KTbw45wSpVL8=";

  # skip flaky test
  checkFlags = [ "--skip=test_owner_current_group" ];

  postInstall = ''
    installManPage doc/fd.1
  '';

  meta = with lib; {
    description = "Simple, fast and user-friendly alternative to find";
    homepage = "https://github.com/sharkdp/fd";
    license = with licenses; [
      asl20
      mit
    ];
    maintainers = with maintainers; [ okoye ];
    mainProgram = "fd";
  };
}
