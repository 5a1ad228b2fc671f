raise ValueError('app: at import')
