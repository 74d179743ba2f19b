from picolab.cli import main

raise SystemExit(main())
