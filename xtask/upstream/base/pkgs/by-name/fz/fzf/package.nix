{
  lib,
  buildGoModule,
  fetchFromGitHub,
  ncurses,
}:

buildGoModule rec {
  pname = "fzf";
  version = "0.44.1";

  src = fetchFromGitHub {
    owner = "junegunn";
    repo = "fzf";
    rev = version;
    hash = "sha256-EPg/ZgpEKkNsr4JoXv9wgQf+ec1ucEsG9ql5PjuvoEI=";
  };

  vendorHash = "sha256-NwzAbC41j+L4ltOjC4PKihZEjY60LB9PRSD5O2kcEM0=";

  buildInputs = [ ncurses ];

  ldflags = [
    "-s"
    "-w"
    "-X main.version=${version} -X main.revision=${src.rev}"
  ];

  meta = with lib; {
    description = "Command-line fuzzy finder written in Go";
    homepage = "https://github.com/junegunn/fzf";
    license = licenses.mit;
    maintainers = with maintainers; [ nadia ];
    mainProgram = "fzf";
  };
}
