"""redis-py's RedisCluster; the conversation with the driving test is that of phases.mjs."""
import logging
import os
import sys
import threading
import time

import redis
from redis.cluster import ClusterNode, RedisCluster

logging.disable()  # every redirect is logged as an error
gateway = len(sys.argv) == 2  # one address is a gateway's
if gateway:
    host, port = sys.argv[1].rsplit(":", 1)
    c = redis.Redis(host, int(port), decode_responses=True)
else:
    c = RedisCluster(startup_nodes=[ClusterNode(*a.rsplit(":", 1)) for a in sys.argv[1:]], decode_responses=True)


def say(line):
    print(str(line).replace("\n", " "), flush=True)


def check(name, got, want):
    if got != want:
        raise AssertionError(f"{name} gives {got!r}, want {want!r}")


def rejects(name, call, word):
    try:
        call()
    except redis.RedisError as e:
        check(f"{name} fails with {e}: {word} in it", word in str(e), True)
    else:
        raise AssertionError(f"{name} does not fail")


def commands():
    check("set", c.set("k", "v"), True)
    check("set nx", c.set("k", "w", nx=True), None)
    check("set xx get", c.set("k", "v2", xx=True, get=True), "v")
    check("set ex", c.set("k", "v", ex=100), True)
    check("ttl", c.ttl("k") > 90, True)
    check("pttl", c.pttl("k") > 90000, True)
    check("persist", c.persist("k"), True)
    check("get", c.get("k"), "v")
    check("getset", c.getset("k", "w"), "v")
    check("getdel", c.getdel("k"), "w")
    check("setnx", c.setnx("k", "v"), True)
    check("setex", c.setex("k", 100, "v"), True)
    check("psetex", c.psetex("k", 100000, "v"), True)
    check("getex", c.getex("k", persist=True), "v")
    check("append", c.append("k", "w"), 2)
    check("strlen", c.strlen("k"), 2)
    check("getrange", c.getrange("k", 0, 0), "v")
    check("setrange", c.setrange("k", 1, "x"), 2)
    check("mset", c.mset({"{t}a": "1", "{t}b": "2"}), True)
    check("mget", c.mget("{t}a", "{t}b", "{t}c"), ["1", "2", None])
    across = c.mget if gateway else c.mget_nonatomic
    check("mget of several slots", across("{t}a", "k"), ["1", "vx"])
    check("msetnx", c.msetnx({"{t}a": "1", "{t}c": "2"}), False)
    check("incr", c.incr("{t}a"), 2)
    check("incrby", c.incrby("{t}a", 5), 7)
    check("decr", c.decr("{t}a"), 6)
    check("decrby", c.decrby("{t}a", 2), 4)
    check("incrbyfloat", c.incrbyfloat("{t}a", 0.5), 4.5)
    check("exists", c.exists("{t}a", "k"), 2)
    check("touch", c.touch("{t}a"), 1)
    check("type", c.type("{t}a"), "string")
    check("rename", c.rename("{t}a", "{t}d"), True)
    check("renamenx", c.renamenx("{t}d", "{t}b"), False)
    check("copy", c.copy("{t}d", "{t}e"), True)
    check("expire", c.expire("{t}d", 100), True)
    check("pexpireat", c.pexpireat("{t}d", int(time.time() * 1000) + 1000000), True)
    check("delete", c.delete("{t}d", "{t}e", "k"), 3)
    check("unlink", c.unlink("{t}b"), 1)
    c.set("word", "x")
    rejects("incr", lambda: c.incr("word"), "not an integer")
    rejects("hset", lambda: c.hset("h", "f", "v"), "HSET")
    with c.pipeline() as p:
        check("pipeline", p.set("{p}1", "5").incr("{p}1").get("{p}1").execute(), [True, 6, "6"])
    check("scan_iter", len(list(c.scan_iter(match="{p}*", count=100))), 1)
    check("dbsize", c.dbsize() > 0, True)


def routing():
    for i in range(512):
        c.set(f"route:{i}", i)
        check("get", c.get(f"route:{i}"), str(i))


class Load:
    def __init__(self):
        self.mu, self.running = threading.Lock(), True
        self.mark()
        self.workers = [threading.Thread(target=self.work, args=(w,), daemon=True) for w in range(4)]
        for w in self.workers:
            w.start()

    def mark(self):
        with self.mu:
            self.ops, self.errors, self.last = 0, 0, ""

    def more(self):
        while self.ops + self.errors < 200:
            time.sleep(0.001)

    def work(self, w):
        i = 0
        while self.running:
            i += 1
            key = f"load:{os.getpid()}:{w}:{i % 100}"
            try:
                c.set(key, i)
                check("read after write", c.get(key), str(i))
                with self.mu:
                    self.ops += 2
            except Exception as e:
                with self.mu:
                    self.errors += 1
                    self.last = f"{type(e).__name__} {e}"
                time.sleep(0.005)
            if i % 10 == 0:
                time.sleep(0.001)

    def stop(self):
        self.running = False
        for w in self.workers:
            w.join()
        return f"load {self.ops} {self.errors} {self.last}"


def main():
    say(f"version {redis.__version__}")
    load = None
    for word in sys.stdin:
        try:
            match word.strip():
                case "commands":
                    commands()
                    say("ok")
                case "routing":
                    routing()
                    say("ok")
                case "load":
                    load = Load()
                    say("ok")
                case "more":
                    load.more()
                    say("ok")
                case "mark":
                    load.mark()
                    say("ok")
                case "stop":
                    say(load.stop())
        except Exception as e:
            say(f"FAIL {type(e).__name__} {e}")


main()
