"""The same application under Werkzeug's interactive debugger, which runs expressions in the frames of a traceback."""
import os
import sys

os.environ["WERKZEUG_DEBUG_PIN"] = "off"
sys.path.insert(0, os.path.dirname(__file__))

from werkzeug.debug import DebuggedApplication

import shop

# Exceptions are the debugger's, not an error page of Flask.
shop.app.config["PROPAGATE_EXCEPTIONS"] = True
application = DebuggedApplication(shop.app, evalex=True, pin_security=False)
