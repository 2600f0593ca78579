import os
import subprocess


def system():
    # ruleid: securetag.python.command-injection
    os.system("ping -c 1 " + request.args["host"])


def shell_true(req, resp):
    host = req.get_param("host")
    # ruleid: securetag.python.command-injection
    subprocess.run(f"ping -c 1 {host}", shell=True)


def quoted_is_reported_too():
    # ruleid: securetag.python.command-injection
    subprocess.check_output("ls " + shlex.quote(request.form["dir"]), shell=True)


def program_from_outside():
    # ruleid: securetag.python.command-injection
    subprocess.Popen([request.args["tool"], "--version"])


def whole_line():
    line = "convert " + request.args["name"]
    # ruleid: securetag.python.command-injection
    subprocess.call(line.split())


def explicit_shell():
    # ruleid: securetag.python.command-injection
    subprocess.run(["sh", "-c", "du -s " + request.args["dir"]])


async def asyncio_shell(request):
    # ruleid: securetag.python.command-injection
    await asyncio.create_subprocess_shell("wc -l " + request.query["file"])


def remote():
    # ruleid: securetag.python.command-injection
    client.exec_command("tail " + input("file? "))


def list_of_arguments():
    # ok: securetag.python.command-injection
    subprocess.run(["ping", "-c", "1", "--", request.args["host"]])


def constant_line():
    # ok: securetag.python.command-injection
    subprocess.run("df -h | tail -1", shell=True)


def data_on_standard_input():
    # ok: securetag.python.command-injection
    subprocess.run(["wc", "-l"], input=request.form["text"], text=True)
