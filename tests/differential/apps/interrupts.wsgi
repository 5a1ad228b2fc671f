raise KeyboardInterrupt('app: at import')
