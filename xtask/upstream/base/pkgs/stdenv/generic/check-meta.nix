# Whether the configuration allows a package, by its `meta`.
{
  lib,
  config,
  stdenv,
}:

rec {
  # The reason why a package must not be built, or null.
  problem =
    attrs:
    let
      meta = attrs.meta or { };
      name = attrs.name or "${attrs.pname}-${attrs.version}";
      licenses = lib.toList (meta.license or [ ]);
    in
    if !(config.allowUnfree or false) && lib.any (license: !license.free) licenses then
      "has an unfree license (`${(lib.head licenses).shortName}'); `config.allowUnfree` would allow it"
    else if meta.broken or false && !(config.allowBroken or false) then
      "is marked as broken; `config.allowBroken` would allow it"
    else if
      meta.knownVulnerabilities or [ ] != [ ]
      && !(lib.elem name (config.permittedInsecurePackages or [ ]))
    then
      "is known to be insecure (${lib.concatStringsSep ", " meta.knownVulnerabilities}); `config.permittedInsecurePackages` would allow it"
    else if !(lib.elem stdenv.system (meta.platforms or [ stdenv.system ])) then
      "is not available on `${stdenv.system}'"
    else
      null;

  assertValid =
    attrs:
    let
      reason = problem attrs;
    in
    if reason == null then
      true
    else
      throw "Package `${attrs.name or "${attrs.pname}-${attrs.version}"}' ${reason}.";
}
