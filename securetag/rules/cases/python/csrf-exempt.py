# ruleid: securetag.python.csrf-exempt
@csrf_exempt
def change(request):
    return save(request)


# ruleid: securetag.python.csrf-exempt
view = csrf_exempt(change)
# ruleid: securetag.python.csrf-exempt
app.config["WTF_CSRF_ENABLED"] = False
# ok: securetag.python.csrf-exempt
app.config["WTF_CSRF_ENABLED"] = True


# ok: securetag.python.csrf-exempt
@csrf_protect
def guarded(request):
    return save(request)
