def run(name, path):
    # ruleid: securetag.python.shell-not-constant
    os.system("ls " + name)
    # ruleid: securetag.python.shell-not-constant
    subprocess.run(f"ls {path}", shell=True)
    # ruleid: securetag.python.shell-not-constant
    Popen(name, stdout=PIPE, shell=True)
    # ruleid: securetag.python.shell-not-constant
    subprocess.check_output(["bash", "-c", name])
    # Guarded code is reported all the same.
    # ruleid: securetag.python.shell-not-constant
    os.popen(shlex.quote(name))


def near(name):
    # ok: securetag.python.shell-not-constant
    os.system("ls -l")
    # ok: securetag.python.shell-not-constant
    subprocess.run("git rev-parse HEAD", shell=True)
    # ok: securetag.python.shell-not-constant
    subprocess.run(["ls", name])
