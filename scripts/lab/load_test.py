"""Ask a running server for digits from many clients at once: latency, throughput, and whether equal seeds are equal images."""

import argparse
import concurrent.futures
import contextlib
import http.client
import json
import sys
import time
import urllib.parse


def parse(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", metavar="URL", help="of a model, such as http://localhost:8501/v1/models/digits")
    parser.add_argument("--requests", type=int, default=2000, metavar="N", help="in all; default: %(default)s")
    parser.add_argument("--clients", type=int, default=8, metavar="N", help="at once; default: %(default)s")
    parser.add_argument("--num", type=int, default=1, metavar="N", help="images in each request; default: %(default)s")
    parser.add_argument("--label", type=int, metavar="L", help="for a conditional model; -1 for all in turn")
    args = parser.parse_args(argv)
    if min(args.requests, args.clients, args.num) < 1:
        parser.error("--requests, --clients and --num must be 1 or more")
    try:
        args.url = urllib.parse.urlsplit(args.url)
        usable = args.url.scheme == "http" and args.url.hostname and args.url.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        parser.error("URL is the address of a model, such as http://localhost:8501/v1/models/digits")
    return args


def ask(connection, path, inputs):
    """The images of one request, and the seconds it took."""
    begin = time.perf_counter()
    body = json.dumps({"signature_name": "generate_png", "inputs": inputs})
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"HTTP {response.status}: {answer[:200].decode(errors='replace')}")
    try:
        images = json.loads(answer)["outputs"]
    except (ValueError, KeyError, TypeError) as error:
        raise RuntimeError(f"the answer holds no images, but: {answer[:200].decode(errors='replace')}") from error
    return images, time.perf_counter() - begin


def main(argv=None):
    args = parse(argv)
    path = f"{args.url.path.rstrip('/').removesuffix(':predict')}:predict"
    seeds = max(1, args.requests // 10)  # each is asked for about ten times

    def client(number):
        results = []
        with contextlib.closing(http.client.HTTPConnection(args.url.hostname, args.url.port, timeout=60)) as connection:
            for k in range(number, args.requests, args.clients):
                inputs = {"seed": k % seeds, "n": args.num, **({} if args.label is None else {"label": args.label})}
                results.append((k % seeds, *ask(connection, path, inputs)))
        return results

    begin = time.perf_counter()
    try:
        with concurrent.futures.ThreadPoolExecutor(args.clients) as pool:
            results = [result for results in pool.map(client, range(args.clients)) for result in results]
    except (RuntimeError, OSError, http.client.HTTPException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    seconds = time.perf_counter() - begin
    images = {}
    for seed, answer, _ in results:
        if images.setdefault(seed, answer) != answer:
            print(f"error: seed {seed} gave two different answers", file=sys.stderr)
            return 1
    times = sorted(1000 * spent for *_, spent in results)
    middle, most, worst = (times[min(len(times) - 1, int(q * len(times)))] for q in (0.5, 0.95, 1.0))
    print(f"{len(results):,} requests of {args.num} from {args.clients} clients in {seconds:.1f} s, none failed")
    print(
        f"{len(results) / seconds:.0f} requests a second; latency {middle:.0f} ms median, {most:.0f} ms 95 %, {worst:.0f} ms worst"
    )
    print(f"{len(images):,} seeds, equal images each time")
    return 0


if __name__ == "__main__":
    sys.exit(main())
