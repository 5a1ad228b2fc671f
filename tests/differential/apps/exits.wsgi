raise SystemExit('app: at import')
