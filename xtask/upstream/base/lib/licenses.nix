{ lib }:

lib.mapAttrs
  (
    shortName: license:
    {
      inherit shortName;
      free = true;
    }
    // license
  )
  {
    asl20 = {
      spdxId = "Apache-2.0";
      fullName = "Apache License 2.0";
    };
    bsd2 = {
      spdxId = "BSD-2-Clause";
      fullName = ''BSD 2-clause "Simplified" License'';
    };
    bsd3 = {
      spdxId = "BSD-3-Clause";
      fullName = ''BSD 3-clause "New" or "Revised" License'';
    };
    bsdOriginal = {
      spdxId = "BSD-4-Clause";
      fullName = ''BSD 4-clause "Original" License'';
    };
    curl = {
      spdxId = "curl";
      fullName = "curl License";
    };
    gpl2Only = {
      spdxId = "GPL-2.0-only";
      fullName = "GNU General Public License v2.0 only";
    };
    gpl2Plus = {
      spdxId = "GPL-2.0-or-later";
      fullName = "GNU General Public License v2.0 or later";
    };
    gpl3Only = {
      spdxId = "GPL-3.0-only";
      fullName = "GNU General Public License v3.0 only";
    };
    gpl3Plus = {
      spdxId = "GPL-3.0-or-later";
      fullName = "GNU General Public License v3.0 or later";
    };
    isc = {
      spdxId = "ISC";
      fullName = "ISC License";
    };
    lgpl21Plus = {
      spdxId = "LGPL-2.1-or-later";
      fullName = "GNU Lesser General Public License v2.1 or later";
    };
    mit = {
      spdxId = "MIT";
      fullName = "MIT License";
    };
    ncurses = {
      spdxId = "MIT-open-group";
      fullName = "ncurses License";
    };
    psfl = {
      spdxId = "Python-2.0";
      fullName = "Python Software Foundation License version 2";
    };
    publicDomain = {
      fullName = "Public Domain";
    };
    unfree = {
      fullName = "Unfree";
      free = false;
    };
    unlicense = {
      spdxId = "Unlicense";
      fullName = "The Unlicense";
    };
    zlib = {
      spdxId = "Zlib";
      fullName = "zlib License";
    };
  }
