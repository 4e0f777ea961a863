{
  config,
  lib,
  pkgs,
  ...
}:

{
  options = {
    environment.systemPackages = lib.mkOption {
      type = lib.types.listOf lib.types.package;
      default = [ ];
      description = "Packages whose programs every user has.";
    };

    system.path = lib.mkOption {
      type = lib.types.package;
      internal = true;
      description = "One directory with all of them.";
    };
  };

  config = {
    environment.systemPackages = [
      pkgs.busybox
      pkgs.which
    ];

    system.path = pkgs.buildEnv {
      name = "system-path";
      paths = lib.unique config.environment.systemPackages;
    };
  };
}
