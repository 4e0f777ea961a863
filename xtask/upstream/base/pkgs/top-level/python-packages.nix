# The packages of one Python interpreter.
self: with self; {
  buildPythonPackage = callPackage ../development/interpreters/python/mk-python-derivation.nix { };

  fetchPypi = callPackage ../development/interpreters/python/fetch-pypi.nix { };

  certifi = callPackage ../development/python-modules/certifi { };

  charset-normalizer = callPackage ../development/python-modules/charset-normalizer { };

  idna = callPackage ../development/python-modules/idna { };

  requests = callPackage ../development/python-modules/requests { };

  six = callPackage ../development/python-modules/six { };

  urllib3 = callPackage ../development/python-modules/urllib3 { };
}
