package payload

import (
	ignition "github.com/coreos/ignition/v2/config/v3_5"
	_ "github.com/vincent-petithory/dataurl"
	_ "gopkg.in/yaml.v3"
)

var _ = ignition.Parse
