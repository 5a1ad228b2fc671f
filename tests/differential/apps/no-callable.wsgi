other = 5
