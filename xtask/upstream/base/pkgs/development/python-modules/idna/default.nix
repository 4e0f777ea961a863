{
  lib,
  buildPythonPackage,
  fetchPypi,
}:

buildPythonPackage rec {
  pname = "idna";
  version = "3.6";
  pyproject = true;

  src = fetchPypi {
    inherit pname version;
    hash = "sha256-M+xTfArtHPILv9SQA3J3f9JAHlWBR54XXiJ5hp/6uaU=";
  };

  pythonImportsCheck = [ "idna" ];

  meta = with lib; {
    description = "Internationalized Domain Names in Applications";
    homepage = "https://pypi.org/project/idna/";
    license = licenses.bsd3;
    maintainers = with maintainers; [ nadia ];
  };
}
