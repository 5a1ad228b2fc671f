def __getattr__(name):
    raise ValueError('app: in __getattr__')
