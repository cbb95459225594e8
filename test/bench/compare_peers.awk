# compare_peers.awk
#	The table of compare_peers.sh from its samples: "who test rate limit".

{
	key = $1 " " $2
	rates[key] = rates[key] " " $3
	limits[key] = limits[key] " " $4
	if ($1 != "ours")
		peers[$1] = 1
	if (!($2 in seen))
	{
		seen[$2] = 1
		tests[++n_tests] = $2
	}
}

function median(list, value, n, i, j, swap)
{
	n = split(list, value, " ")
	for (i = 1; i <= n; i++)
		for (j = i + 1; j <= n; j++)
			if (value[j] + 0 < value[i] + 0)
			{
				swap = value[i]
				value[i] = value[j]
				value[j] = swap
			}
	return n == 0 ? 0 : n % 2 ? value[(n + 1) / 2] + 0 : (value[n / 2] + value[n / 2 + 1]) / 2
}

function label(test)
{
	return test == "deep-1" ? "decode at " depth : test == "prefill" ? test : \
		test == "decode-1" ? "decode" : "decode " substr(test, 8) " sequences"
}

# The peer with the greatest median; "" for none.
function best_peer(test, peer, best, rate, greatest)
{
	for (peer in peers)
	{
		rate = median(rates[peer " " test])
		if (rate > greatest)
		{
			greatest = rate
			best = peer
		}
	}
	return best
}

# Which share of its speed at depth 0 an engine loses at the depth.
function lost(who, shallow)
{
	shallow = median(rates[who " decode-1"])
	return shallow > 0 ? sprintf("%.1f%%", 100 - 100 * median(rates[who " deep-1"]) / shallow) : "-"
}

END {
	printf "%-22s %10s %10s %8s %10s %8s  %s\n", "test", "ours", "limit", "of limit", "best peer", "ratio", ""
	for (i = 1; i <= n_tests; i++)
	{
		test = tests[i]
		ours = median(rates["ours " test])
		limit = median(limits["ours " test])
		peer = best_peer(test)
		theirs = peer == "" ? 0 : median(rates[peer " " test])
		printf "%-22s %10.1f %10.1f %8s %10s %8s  %s\n", label(test), ours, limit, \
			(limit > 0 ? sprintf("%.1f%%", 100 * ours / limit) : "-"), (theirs > 0 ? sprintf("%.1f", theirs) : "-"), \
			(theirs > 0 ? sprintf("%.2f", ours / theirs) : "-"), peer
	}
	if ("deep-1" in seen)
	{
		printf "%-22s %10s", "lost at " depth, lost("ours")
		for (peer in peers)
			printf "  %s %s", peer, lost(peer)
		printf "\n"
	}
}
