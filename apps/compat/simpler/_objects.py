"""What can be said of a callable before it is loaded: whether its objects export what they have to."""

import struct

_USUAL_ENTRY = "aicpu_orchestration_entry"
_DYNAMIC_SYMBOLS = 11
_PREWARM = "framework_prewarm_graph_recorders"


class NoObject(ValueError):
    pass


def exported(data):
    """The names that a shared object defines; none: it does not say where they are."""
    try:
        if data[:6] != b"\x7fELF\x02\x01":
            raise NoObject("it is no ELF object of 64 bits")
        sections, = struct.unpack_from("<Q", data, 40)
        size, count = struct.unpack_from("<HH", data, 58)
        if sections == 0 or count == 0:
            return None
        headers = [struct.unpack_from("<IIQQQQIIQQ", data, sections + i * size) for i in range(count)]
        found = set()
        for _, kind, _, _, offset, nbytes, link, _, _, entry in headers:
            if kind != _DYNAMIC_SYMBOLS or entry == 0:
                continue
            begin, length = headers[link][4], headers[link][5]
            names = data[begin:begin + length]
            for at in range(offset, offset + nbytes, entry):
                name, _, _, section = struct.unpack_from("<IBBH", data, at)
                if section != 0:
                    found.add(names[name:names.index(b"\0", name)].decode(errors="replace"))
        return found
    except (struct.error, IndexError, ValueError) as error:
        raise NoObject(str(error) if isinstance(error, NoObject) else "it is no whole ELF object") from None


def defect_of(target, runtime):
    """Why a ChipCallable can never run; none: nothing speaks against it."""
    try:
        names = exported(target.binary)
    except NoObject as error:
        return f"cannot load its orchestration: {error}"
    if names is not None:
        before_launch = runtime == "host_build_graph"
        needed = ["framework_bind_runtime", "simpler_host_log_bind_state", target.func_name or _USUAL_ENTRY]
        if before_launch:
            needed.append(_PREWARM)
        if before_launch and not target.func_name:
            return "its orchestration builds its graph before launch, and no entry is named"
        for name in needed:
            if name not in names:
                return f"its orchestration exports no {name}"
    for i in range(target.child_count):
        number = target.child_func_id(i)
        if not 0 <= number < 1024:
            return f"func_id {number} is out of range: 0 to 1023"
        try:
            names = exported(target.child(i).binary)
        except (NoObject, ValueError, struct.error) as error:
            return f"cannot load its kernel {number}: {error}"
        if names is not None and "kernel_entry" not in names:
            return f"its kernel {number} exports no kernel_entry"
    return None


def check(target, runtime):
    defect = defect_of(target, runtime)
    if defect is not None:
        raise RuntimeError(f"prepare_callable failed with code -1: {defect}")
