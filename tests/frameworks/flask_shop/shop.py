"""A Flask application with what most of them have: routes, forms, uploads, streaming, sessions."""
import hashlib

from flask import Flask, Response, abort, jsonify, redirect, request, session, url_for

app = Flask(__name__)
app.secret_key = "only for tests"


@app.route("/")
def index():
    return "Welcome to the shop"


@app.route("/item/<int:number>")
def item(number):
    if number > 100:
        abort(404)
    return jsonify(number=number, url=url_for("item", number=number), query=request.args.to_dict(flat=False))


@app.route("/form", methods=["GET", "POST"])
def form():
    if request.method == "POST":
        return jsonify(request.form.to_dict(flat=False))
    return "<form method=post><input name=a></form>"


@app.route("/upload", methods=["POST"])
def upload():
    file = request.files["file"]
    data = file.read()
    return jsonify(name=file.filename, type=file.mimetype, length=len(data), md5=hashlib.md5(data).hexdigest())


@app.route("/json", methods=["PUT"])
def put_json():
    return jsonify(got=request.get_json())


@app.route("/stream")
def stream():
    return Response((f"line {number}\n" for number in range(1000)), mimetype="text/plain")


@app.route("/login", methods=["POST"])
def login():
    session["user"] = request.form["user"]
    return redirect(url_for("me"))


@app.route("/me")
def me():
    return session.get("user", "nobody")


@app.route("/logout")
def logout():
    session.clear()
    return redirect(url_for("me"))


@app.route("/crash")
def crash():
    secret_number = 20
    raise RuntimeError("crashed with %d" % secret_number)
