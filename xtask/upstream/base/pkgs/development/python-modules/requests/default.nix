{
  lib,
  buildPythonPackage,
  fetchPypi,
  certifi,
  charset-normalizer,
  idna,
  urllib3,
}:

buildPythonPackage rec {
  pname = "requests";
  version = "2.31.0";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-0dEbhdvXs7yI+LAn1qb/Aqc01aAtUEYrw/OZUknMi98=";
  };

  dependencies = [
    certifi
    charset-normalizer
    idna
    urllib3
  ];

  pythonImportsCheck = [ "requests" ];

  meta = with lib; {
    description = "HTTP library for Python";
    homepage = "https://pypi.org/project/requests/";
    license = licenses.asl20;
    maintainers = with maintainers; [ nadia ];
  };
}
