# NixOS: follow a signed channel, and let Nix refuse to build what nobody vouched for. docs/quickstart-gate.md.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  cfg = config.services.touchstone;
  gate = "${cfg.stateDir}/gate";

  isHex = digits: text: builtins.match "[0-9a-f]{${toString digits}}" text != null;

  touchstone = "${cfg.package}/bin/touchstone --state ${cfg.stateDir}";

  subscribe = lib.concatStringsSep " " (
    [ "${touchstone} subscribe --no-fetch" ]
    ++ map (url: "--url ${url}") cfg.urls
    ++ [
      "--chain ${cfg.chain}"
      "--channel ${cfg.channel}"
      "--floor-root ${toString cfg.floorRoot}"
      "--floor-release ${toString cfg.floorRelease}"
    ]
  );

  # Nix is the system's.
  systemPath = "PATH=/run/current-system/sw/bin";

  asksCaches = cfg.gate.enable && cfg.gate.caches != [ ];

  # Everything but nix.conf, which is this module's.
  gateOn = lib.concatStringsSep " " (
    [ "${touchstone} gate on --without-nix-conf" ]
    ++ [ "--hook ${cfg.package}/bin/touchstone-hook" ]
    ++ [ "--developer-group '${if cfg.gate.developerGroup == null then "" else cfg.gate.developerGroup}'" ]
    ++ [ "--request-group '${if cfg.gate.requestGroup == null then "" else cfg.gate.requestGroup}'" ]
    ++ [ "--evaluation-seconds ${toString cfg.gate.evaluation.seconds}" ]
    ++ [ "--evaluation-memory ${toString cfg.gate.evaluation.memory}" ]
    ++ (
      if cfg.gate.caches == [ ] then
        [ "--no-caches" ]
      else
        map (url: "--cache ${url}") cfg.gate.caches
        ++ map (key: "--builder-key ${key}") cfg.gate.builderKeys
        ++ [
          "--needed ${toString cfg.gate.neededBuilders}"
          "--listen ${cfg.gate.listen}"
        ]
    )
    ++ map (path: "--broken-hash ${path}") cfg.gate.brokenHashes
    ++ map (digest: "--develop-script ${digest}") cfg.gate.developScripts
  );
in
{
  options.services.touchstone = {
    enable = lib.mkOption {
      type = lib.types.bool;
      default = false;
      example = true;
      description = "Whether to follow a channel that people have signed.";
    };

    package = lib.mkOption {
      type = lib.types.package;
      description = "The package with `touchstone` and `touchstone-hook`.";
    };

    stateDir = lib.mkOption {
      type = lib.types.str;
      default = "/var/lib/touchstone";
      description = "Where the subscription, the releases and the gate's files are kept.";
    };

    urls = lib.mkOption {
      type = lib.types.listOf lib.types.str;
      default = [ ];
      example = [ "https://example.org/touchstone" ];
      description = "Where the channel's files are: mirrors, in order of preference.";
    };

    chain = lib.mkOption {
      type = lib.types.str;
      default = "";
      description = "The chain to trust: the SHA-256 of its first root. There is no default, and no trust on first use.";
    };

    channel = lib.mkOption {
      type = lib.types.str;
      default = "unstable";
      description = "The channel to follow.";
    };

    floorRoot = lib.mkOption {
      type = lib.types.int;
      default = 1;
      description = "The lowest version of the root that is known to exist.";
    };

    floorRelease = lib.mkOption {
      type = lib.types.int;
      default = 1;
      description = "The lowest number of a release that is known to exist.";
    };

    gate = {
      enable = lib.mkOption {
        type = lib.types.bool;
        default = false;
        example = true;
        description = "Whether Nix refuses to build what no installed release lists.";
      };

      developerGroup = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "wheel";
        description = "A group whose members may build anything in the sandbox. Nothing that they build is approved.";
      };

      requestGroup = lib.mkOption {
        type = lib.types.nullOr lib.types.str;
        default = null;
        example = "users";
        description = "A group whose members may have approved what is in the signed package set and in no list. Root always may.";
      };

      evaluation = {
        seconds = lib.mkOption {
          type = lib.types.int;
          default = 300;
          description = "How long an evaluation on request may take.";
        };

        memory = lib.mkOption {
          type = lib.types.int;
          default = 8192;
          description = "How much memory an evaluation on request may use, in MiB.";
        };
      };

      caches = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "https://cache.example.org" ];
        description = "Binary caches that may be asked for outputs of approved derivations; without any, all is built here.";
      };

      builderKeys = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        example = [ "cache.example.org-1:base64" ];
        description = "The public keys of the builders that are believed, as `trusted-public-keys` has them.";
      };

      neededBuilders = lib.mkOption {
        type = lib.types.int;
        default = 1;
        description = "How many distinct builders must agree on an output.";
      };

      listen = lib.mkOption {
        type = lib.types.str;
        default = "127.0.0.1:8412";
        description = "Where the substituter listens, on the loopback interface.";
      };

      brokenHashes = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        description = "Approved derivations that are taken although MD5 or SHA-1 fixes their output, by base name.";
      };

      developScripts = lib.mkOption {
        type = lib.types.listOf lib.types.str;
        default = [ ];
        description = "SHA-256 of `get-env.sh` of versions of Nix that the gate does not know.";
      };
    };
  };

  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = cfg.urls != [ ];
        message = "services.touchstone.urls names no mirror";
      }
      {
        assertion = isHex 64 cfg.chain;
        message = "services.touchstone.chain must be 64 lower-case hexadecimal digits, found \"${cfg.chain}\"";
      }
      {
        assertion = cfg.floorRoot >= 1;
        message = "services.touchstone.floorRoot must be at least 1, found ${toString cfg.floorRoot}";
      }
      {
        assertion = cfg.floorRelease >= 1;
        message = "services.touchstone.floorRelease must be at least 1, found ${toString cfg.floorRelease}";
      }
      {
        assertion = builtins.substring 0 1 cfg.stateDir == "/";
        message = "services.touchstone.stateDir must be an absolute path, found \"${cfg.stateDir}\"";
      }
      {
        assertion = builtins.match "[a-z][a-z0-9-]*" cfg.channel != null;
        message = "services.touchstone.channel is no name of a channel: \"${cfg.channel}\"";
      }
      {
        assertion =
          cfg.gate.developerGroup == null
          || builtins.match "[a-z_][a-z0-9_-]*" cfg.gate.developerGroup != null;
        message = "services.touchstone.gate.developerGroup is no name of a group: \"${toString cfg.gate.developerGroup}\"";
      }
      {
        assertion =
          cfg.gate.requestGroup == null || builtins.match "[a-z_][a-z0-9_-]*" cfg.gate.requestGroup != null;
        message = "services.touchstone.gate.requestGroup is no name of a group: \"${toString cfg.gate.requestGroup}\"";
      }
      {
        assertion = cfg.gate.evaluation.seconds >= 1;
        message = "services.touchstone.gate.evaluation.seconds must be at least 1, found ${toString cfg.gate.evaluation.seconds}";
      }
      {
        assertion = cfg.gate.evaluation.memory >= 64;
        message = "services.touchstone.gate.evaluation.memory must be at least 64 MiB, found ${toString cfg.gate.evaluation.memory}";
      }
      {
        assertion = lib.all (url: builtins.match "(https?|file)://[^ ]+" url != null) cfg.gate.caches;
        message = "services.touchstone.gate.caches must be URLs: https://… or file:///…";
      }
      {
        assertion = cfg.gate.caches == [ ] || cfg.gate.builderKeys != [ ];
        message = "services.touchstone.gate.builderKeys names no builder, so that no cache is believed";
      }
      {
        assertion = lib.all (key: builtins.match "[^: ]+:[A-Za-z0-9+/]{43}=" key != null) cfg.gate.builderKeys;
        message = "services.touchstone.gate.builderKeys must be NAME:BASE64, as trusted-public-keys has them";
      }
      {
        assertion =
          cfg.gate.builderKeys == [ ]
          || (
            cfg.gate.neededBuilders >= 1
            && cfg.gate.neededBuilders <= builtins.length cfg.gate.builderKeys
          );
        message = "services.touchstone.gate.neededBuilders must be between 1 and the number of builderKeys, found ${toString cfg.gate.neededBuilders}";
      }
      {
        assertion = builtins.match "(127[.][0-9.]+|\\[::1]):[0-9]+" cfg.gate.listen != null;
        message = "services.touchstone.gate.listen must be an address and port on the loopback interface, found \"${cfg.gate.listen}\"";
      }
      {
        assertion = lib.all (path: builtins.match ".*[.]drv" path != null) cfg.gate.brokenHashes;
        message = "services.touchstone.gate.brokenHashes must be base names that end in .drv";
      }
      {
        assertion = lib.all (isHex 64) cfg.gate.developScripts;
        message = "services.touchstone.gate.developScripts must be SHA-256 digests of 64 hexadecimal digits";
      }
    ];

    # What `touchstone gate on` writes elsewhere. Forced: whatever weakens it is a mistake, and `gate check` says so.
    nix.settings = lib.mkIf cfg.gate.enable {
      pre-build-hook = lib.mkForce "${gate}/pre-build-hook";
      sandbox = lib.mkForce true;
      sandbox-fallback = lib.mkForce false;
      substituters = lib.mkForce [ ];
      trusted-substituters = lib.mkForce [ ];
      trusted-public-keys = lib.mkForce [ ];
      require-sigs = lib.mkForce true;
      builders = lib.mkForce "";
      trusted-users = lib.mkForce [ "root" ];
      accept-flake-config = lib.mkForce false;
    };

    # The key of this machine, which only the machine has. At the end, where it prevails; without the file nothing is believed.
    nix.extraOptions = lib.mkIf asksCaches "!include ${gate}/substituter.conf";

    # Who evaluates what is asked for, and does nothing else.
    users.users = lib.mkIf cfg.gate.enable {
      touchstone-eval = {
        isSystemUser = true;
        group = "touchstone-eval";
        description = "Evaluates for the gate";
      };
    };
    users.groups = lib.mkIf cfg.gate.enable { touchstone-eval = { }; };

    systemd.sockets = lib.mkIf cfg.gate.enable {
      touchstone-approver = {
        description = "The approver of the gate listens";
        wantedBy = [ "sockets.target" ];
        socketConfig = {
          ListenStream = "${gate}/approver.socket";
          SocketMode = "0666";
          Accept = true;
          MaxConnections = 8;
        };
      };
    };

    systemd.services = lib.mkMerge [
      {
        touchstone-update = {
          description = "Follow the signed channel ${cfg.channel}";
          after = [ "network-online.target" ];
          serviceConfig = {
            Type = "oneshot";
            ExecStart = [
              subscribe
              "${touchstone} update --without-gate"
            ];
            # Whatever came of the update, and outside of its sandbox.
            ExecStopPost = "+${touchstone} gate refresh --if-on";
            Environment = systemPath;
            NoNewPrivileges = true;
            PrivateTmp = true;
            ProtectHome = true;
          };
        };
      }
      (lib.mkIf cfg.gate.enable {
        touchstone-gate = {
          description = "Approvals of the gate, made anew and proved";
          after = [
            "touchstone-update.service"
            "nix-daemon.socket"
          ];
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            Type = "oneshot";
            # Subscribed first: at the first start nothing was fetched yet, and nothing is approved until it is.
            ExecStart = [
              subscribe
              gateOn
            ]
            # A daemon that runs already has not read the machine's key.
            ++ lib.optional asksCaches "/run/current-system/sw/bin/systemctl try-restart nix-daemon.service"
            ++ [ "${touchstone} gate check" ];
            Environment = systemPath;
            NoNewPrivileges = true;
          };
        };
      })
      (lib.mkIf asksCaches {
        touchstone-substituter = {
          description = "Outputs of approved derivations, as enough builders made them";
          after = [ "touchstone-gate.service" ];
          wantedBy = [ "multi-user.target" ];
          serviceConfig = {
            ExecStart = "${touchstone} gate serve";
            # Until the gate is on, and after its configuration changed.
            Restart = "always";
            RestartSec = 5;
            ProtectSystem = "strict";
            ReadWritePaths = [ cfg.stateDir ];
            ProtectHome = true;
            PrivateTmp = true;
            PrivateDevices = true;
            NoNewPrivileges = true;
            RestrictAddressFamilies = "AF_INET AF_INET6 AF_UNIX";
            CapabilityBoundingSet = "";
            SystemCallFilter = "@system-service";
            # It reads its configuration once: another one makes another unit, which is then started again.
            X-Configuration = gateOn;
          };
        };
      })
      (lib.mkIf cfg.gate.enable {
        "touchstone-approver@" = {
          description = "The approver of the gate answers";
          serviceConfig = {
            ExecStart = "${touchstone} gate approver --once";
            Environment = systemPath;
            StandardInput = "socket";
            StandardOutput = "journal";
            PrivateNetwork = true;
            PrivateTmp = true;
            PrivateDevices = true;
            ProtectSystem = "strict";
            ReadWritePaths = [ cfg.stateDir ];
            ProtectHome = "read-only";
            MemoryMax = "${toString (cfg.gate.evaluation.memory + 4096)}M";
            TasksMax = 1024;
          };
        };
      })
    ];

    # Every few hours, at another minute on every machine.
    systemd.timers.touchstone-update = {
      description = "Follow the signed channel, every few hours";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnBootSec = "5min";
        OnUnitActiveSec = "4h";
        RandomizedDelaySec = "30min";
        Persistent = true;
      };
    };
  };
}
