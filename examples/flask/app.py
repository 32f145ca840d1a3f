import os

from flask import Flask, jsonify, request

app = Flask(__name__)
app.config["GREETING"] = os.environ.get("GREETING", "Hello")


@app.get("/")
def index():
    return f"{app.config['GREETING']} from Flask\n"


@app.get("/healthz")
def healthz():
    return jsonify(status="ok")


@app.post("/echo")
def echo():
    return jsonify(received=request.get_json(force=True))
