<?php

/** The default of a parameter: it is left out, so that the function's own default holds. */
enum Omitted
{
    case Value;
}

/** A call that `Connection::batch` or `Connection::transaction` runs. */
final class Call
{
    /** @param array<int|string, mixed> $params by position, or by name */
    public function __construct(
        public readonly string $function,
        public readonly array $params = [],
    ) {
    }
}

/** Options of a call. */
final class Options
{
    /**
     * @param int|null $timeoutMs time limit, which the gateway keeps
     * @param array<string, mixed> $session custom settings, for current_setting('app.user_id', true)
     * @param bool $primary sees everything that was committed before: no replica is asked
     * @param string|bool $idempotencyKey the write happens once, however often it is sent with this
     *   key, which is of one call; true makes a new key for each call that may write, so that it can be sent again safely
     * @param int $attempts largest number of tries of a request
     */
    public function __construct(
        public readonly ?int $timeoutMs = null,
        public readonly array $session = [],
        public readonly bool $primary = false,
        public readonly string|bool $idempotencyKey = false,
        public readonly int $attempts = 3,
    ) {
    }
}

/** The gateway, and the tenant whose database is called. */
final class Connection
{
    /** Where the gateway asks for a longer wait before the next try, the error is thrown. */
    private const LONGEST_WAIT_MS = 10_000;

    private readonly Transport $transport;

    /**
     * @param array<string, string> $owner members that name the platform
     * @param string $key the member that names the tenant
     * @param array<string, array{reads: bool, bigints?: mixed}> $functions what is known of functions
     * @param string|null $tenant null is the main database
     * @param array<string, string> $headers headers of each request
     */
    public function __construct(
        private readonly string $url,
        private readonly array $owner,
        private readonly string $key,
        private readonly array $functions,
        private readonly ?string $tenant,
        private readonly Options $options = new Options(),
        private readonly array $headers = [],
        ?Transport $transport = null,
    ) {
        if (is_string($options->idempotencyKey) && $options->idempotencyKey !== '') {
            throw new \InvalidArgumentException(
                'A text idempotencyKey is of one call: give it to call, batch or transaction',
            );
        }
        $this->transport = $transport ?? new Transport();
    }

    /** Returns PostgreSQL's text of bytes, as parameters of the type bytea take it. */
    public static function bytes(string $bytes): string
    {
        return '\\x' . bin2hex($bytes);
    }

    /**
     * Calls a function.
     * @param array<int|string, mixed> $params by position, or by name; Omitted::Value is left out
     * @return list<array<string, mixed>> the rows
     * @throws GatewayError
     */
    public function call(string $function, array $params = [], ?Options $options = null): array
    {
        $call = new Call($function, $params);
        $answer = $this->send('/call', $this->members($call), [$call], $options ?? $this->options);
        return $this->read($call, $answer['rows']);
    }

    /**
     * Runs up to 100 calls in one request, each by itself.
     * @param list<Call> $calls
     * @return list<list<array<string, mixed>>|GatewayError> the rows of each, or its error
     * @throws GatewayError
     */
    public function batch(array $calls, ?Options $options = null): array
    {
        return $this->runAll($calls, [], $options);
    }

    /**
     * Runs up to 100 calls in one transaction: all or nothing.
     * @param list<Call> $calls
     * @return list<list<array<string, mixed>>> the rows of each
     * @throws GatewayError
     */
    public function transaction(array $calls, ?Options $options = null): array
    {
        return $this->runAll($calls, ['transaction' => true], $options);
    }

    /**
     * Calls a function whose result may have any size, and gives the rows one by one.
     * @param array<int|string, mixed> $params
     * @return \Generator<int, array<string, mixed>>
     * @throws GatewayError also after rows: then nothing that the function wrote stays
     */
    public function stream(string $function, array $params = [], ?Options $options = null): \Generator
    {
        $call = new Call($function, $params);
        $body = $this->encode($this->members($call), $options ?? $this->options);
        $headers = $this->headersOf('application/x-ndjson', null);
        $held = null;
        foreach ($this->transport->lines($this->url . '/call', $headers, $body) as $line) {
            if ($held !== null) {
                yield $this->read($call, [$held])[0];
            }
            $held = $this->decode($line);
            // The line before a cut may be the error that caused it.
            if (!str_starts_with($line, '{"error":')) {
                yield $this->read($call, [$held])[0];
                $held = null;
            }
        }
        if ($this->transport->isCut) {
            $isError = is_string($held['error'] ?? null) && is_string($held['message'] ?? null);
            throw $isError ? GatewayError::of(500, $held) : new ConnectionError('the stream was cut');
        }
        if ($held !== null) {
            yield $this->read($call, [$held])[0];
        }
    }

    /** @param list<Call> $calls */
    private function runAll(array $calls, array $more, ?Options $options): array
    {
        $members = ['calls' => array_map(fn (Call $call) => $this->members($call), $calls)] + $more;
        $answer = $this->send('/batch', $members, $calls, $options ?? $this->options);
        return array_map(
            fn (Call $call, array $one) => array_key_exists('rows', $one)
                ? $this->read($call, $one['rows'])
                : GatewayError::of($one['status'], $one),
            $calls,
            $answer['results'],
        );
    }

    private function members(Call $call): array
    {
        $params = array_filter($call->params, fn ($value) => $value !== Omitted::Value);
        if (array_is_list($call->params) && !array_is_list($params)) {
            throw new \InvalidArgumentException(
                "$call->function: a parameter by position is left out, and one behind it is not",
            );
        }
        return ['function' => $call->function, 'params' => $params];
    }

    /** Sends a request, and reads its whole answer, as often as is safe. */
    private function send(string $path, array $members, array $calls, Options $options): array
    {
        $reads = array_reduce(
            $calls,
            fn (bool $all, Call $call) => $all && ($this->functions[$call->function]['reads'] ?? false),
            true,
        );
        $key = $options->idempotencyKey;
        $key = $key === true ? ($reads ? null : bin2hex(random_bytes(16))) : ($key ?: null);
        $body = $this->encode($members, $options);
        $headers = $this->headersOf('application/json', $key);
        for ($attempt = 1; ; $attempt++) {
            $waitMs = 50 * 2 ** $attempt * random_int(50, 150) / 100;
            try {
                [$status, $text, $retryAfter] = $this->transport->post($this->url . $path, $headers, $body);
                if ($status === 200) {
                    return $this->decode($text);
                }
                $failure = GatewayError::of($status, json_decode($text, true) ?: []);
                $waitMs = $retryAfter * 1000 ?: $waitMs;
            } catch (ConnectionError $error) {
                $failure = $error;
            }
            $isLast = $attempt >= $options->attempts || $waitMs > self::LONGEST_WAIT_MS;
            if ($isLast || !$this->isWorthAnother($failure, $reads || $key !== null)) {
                throw $failure;
            }
            usleep((int) ($waitMs * 1000));
        }
    }

    private function isWorthAnother(GatewayError $error, bool $isSafe): bool
    {
        if ($error->mayHaveRun) {
            return $isSafe && in_array($error->status, [0, 502, 503, 504], true);
        }
        return in_array($error->sqlstate, ['40001', '40P01'], true)
            || in_array($error->error, ['pool_exhausted', 'connection_failed'], true);
    }

    /** @return array<string, string> */
    private function headersOf(string $accept, ?string $key): array
    {
        $own = ['content-type' => 'application/json', 'accept' => $accept];
        return $this->headers + $own + ($key === null ? [] : ['idempotency-key' => $key]);
    }

    private function encode(array $members, Options $options): string
    {
        $session = $options->session + $this->options->session;
        $all = $this->owner
            + ($this->tenant === null ? [] : [$this->key => $this->tenant])
            + ($session === [] ? [] : ['session' => $session])
            + ($options->timeoutMs === null ? [] : ['timeout_ms' => $options->timeoutMs])
            + ($options->primary ? ['primary' => true] : [])
            + ['numeric' => 'string'] + $members;
        array_walk_recursive($all, function (mixed &$value): void {
            if ($value instanceof \DateTimeInterface) {
                $value = $value->format('Y-m-d\TH:i:s.uP');
            } elseif (is_float($value) && !is_finite($value)) {
                // JSON has no number for these.
                $value = is_nan($value) ? 'NaN' : ($value > 0 ? 'Infinity' : '-Infinity');
            }
        });
        return json_encode($all, JSON_THROW_ON_ERROR | JSON_PRESERVE_ZERO_FRACTION);
    }

    private function decode(string $text): array
    {
        try {
            return json_decode($text, true, 512, JSON_THROW_ON_ERROR | JSON_BIGINT_AS_STRING);
        } catch (\JsonException $error) {
            throw new ConnectionError($error->getMessage());
        }
    }

    /** Makes integers of the digits of bigint, which PHP has whole. */
    private function read(Call $call, array $rows): array
    {
        $bigints = $this->functions[$call->function]['bigints'] ?? null;
        return $bigints === null ? $rows : array_map(fn ($row) => self::integers($row, $bigints), $rows);
    }

    private static function integers(mixed $value, mixed $bigints): mixed
    {
        if ($value === null) {
            return null;
        }
        if (is_array($value) && array_is_list($value) && ($bigints === 1 || array_is_list($bigints))) {
            $inside = $bigints === 1 ? 1 : $bigints[0];
            // Arrays may have further dimensions.
            return array_map(
                fn ($one) => self::integers($one, is_array($one) && array_is_list($one) ? $bigints : $inside),
                $value,
            );
        }
        if ($bigints === 1) {
            return (int) $value;
        }
        foreach ($bigints as $name => $one) {
            // Another overload may have other columns.
            if (array_key_exists($name, $value)) {
                $value[$name] = self::integers($value[$name], $one);
            }
        }
        return $value;
    }
}
