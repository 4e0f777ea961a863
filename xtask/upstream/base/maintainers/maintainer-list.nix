# Who looks after packages. Keep it sorted by handle.
{
  ines = {
    name = "Inês Carvalho";
    email = "ines@packages.example";
    github = "ines-carvalho";
    githubId = 1003;
  };
  lindqvist = {
    name = "Maja Lindqvist";
    email = "maja@packages.example";
    github = "lindqvist";
    githubId = 1007;
  };
  nadia = {
    name = "Nadia Haddad";
    email = "nadia@packages.example";
    github = "nadia";
    githubId = 1001;
  };
  okoye = {
    name = "Chidi Okoye";
    email = "okoye@packages.example";
    github = "okoye";
    githubId = 1012;
  };
  tomas = {
    name = "Tomáš Novák";
    email = "tomas@packages.example";
    github = "tomas-novak";
    githubId = 1002;
  };
}
