application = 5
