module yardstick

go 1.26
