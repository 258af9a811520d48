<?php

/** Sends requests: by the curl extension, which keeps its connection open, or by PHP's streams. */
final class Transport
{
    private ?\CurlHandle $curl = null;

    /** Whether the answer that `lines` read last ended before its end. */
    public bool $isCut = false;

    public function __construct(private readonly int $timeoutSecs = 60, bool $withCurl = true)
    {
        if ($withCurl && function_exists('curl_init')) {
            $this->curl = curl_init();
        }
    }

    /**
     * @param array<string, string> $headers
     * @return array{int, string, int} status, body, and seconds of Retry-After
     * @throws ConnectionError
     */
    public function post(string $url, array $headers, string $body): array
    {
        return $this->curl === null
            ? $this->postByStream($url, $headers, $body)
            : $this->postByCurl($this->curl, $url, $headers, $body);
    }

    /**
     * Gives the lines of an answer as they come.
     * @param array<string, string> $headers
     * @return \Generator<int, string>
     * @throws GatewayError if the status is not 200
     */
    public function lines(string $url, array $headers, string $body): \Generator
    {
        $this->isCut = true;
        [$stream, $status, $fields] = $this->open($url, $headers, $body);
        try {
            if ($status !== 200) {
                $text = implode('', iterator_to_array($this->chunks($stream, $fields), false));
                throw GatewayError::of($status, json_decode($text, true) ?: []);
            }
            $rest = '';
            foreach ($this->chunks($stream, $fields) as $chunk) {
                $lines = explode("\n", $rest . $chunk);
                $rest = array_pop($lines);
                yield from $lines;
            }
            $this->isCut = $this->isCut || $rest !== '';
        } finally {
            fclose($stream);
        }
    }

    /** @return array{int, string, int} */
    private function postByCurl(\CurlHandle $curl, string $url, array $headers, string $body): array
    {
        $retryAfter = 0;
        curl_setopt_array($curl, [
            CURLOPT_URL => $url,
            CURLOPT_POSTFIELDS => $body,
            // An empty Expect, without which curl waits for 100 before a large body.
            CURLOPT_HTTPHEADER => [...self::headerLines($headers), 'Expect:'],
            CURLOPT_RETURNTRANSFER => true,
            CURLOPT_TIMEOUT => $this->timeoutSecs,
            CURLOPT_HEADERFUNCTION => function ($_, string $line) use (&$retryAfter): int {
                if (preg_match('/^retry-after:\s*(\d+)/i', $line, $match)) {
                    $retryAfter = (int) $match[1];
                }
                return strlen($line);
            },
        ]);
        $text = curl_exec($curl);
        if (!is_string($text)) {
            throw new ConnectionError(curl_error($curl));
        }
        return [curl_getinfo($curl, CURLINFO_RESPONSE_CODE), $text, $retryAfter];
    }

    /** @return array{int, string, int} */
    private function postByStream(string $url, array $headers, string $body): array
    {
        $this->isCut = true;
        [$stream, $status, $fields] = $this->open($url, $headers, $body);
        $text = implode('', iterator_to_array($this->chunks($stream, $fields), false));
        fclose($stream);
        if ($this->isCut) {
            throw new ConnectionError('the answer was cut');
        }
        return [$status, $text, (int) ($fields['retry-after'] ?? 0)];
    }

    /** @return array{resource, int, array<string, string>} the body, the status, the headers */
    private function open(string $url, array $headers, string $body): array
    {
        $context = stream_context_create(['http' => [
            'method' => 'POST',
            'header' => [...self::headerLines($headers), 'connection: close'],
            'content' => $body,
            'protocol_version' => 1.1,
            'timeout' => $this->timeoutSecs,
            'ignore_errors' => true,
            // As curl: own headers are for the gateway alone.
            'follow_location' => 0,
            // Chunks as they came, whose end tells a whole answer from one that was cut.
            'auto_decode' => false,
        ]]);
        $problem = 'no connection';
        // Not by `@`: a handler of the application may make an exception of the warning.
        set_error_handler(function (int $_, string $text) use (&$problem): bool {
            $problem = $text;
            return true;
        });
        try {
            $stream = fopen($url, 'r', false, $context);
        } finally {
            restore_error_handler();
        }
        if ($stream === false) {
            throw new ConnectionError($problem);
        }
        $fields = [];
        $status = 0;
        foreach (stream_get_meta_data($stream)['wrapper_data'] as $line) {
            if (preg_match('#^HTTP/\S+ (\d+)#', $line, $match)) {
                $status = (int) $match[1];
            } else {
                [$name, $value] = explode(':', $line, 2) + [1 => ''];
                $fields[strtolower($name)] = trim($value);
            }
        }
        return [$stream, $status, $fields];
    }

    /**
     * Gives the pieces of a body, and sets `isCut` to whether it ended early.
     * @param resource $stream
     * @param array<string, string> $fields
     * @return \Generator<int, string>
     */
    private function chunks($stream, array $fields): \Generator
    {
        if (strtolower($fields['transfer-encoding'] ?? '') !== 'chunked') {
            $body = stream_get_contents($stream);
            $isCut = $body === false
                || (isset($fields['content-length']) && strlen($body) !== (int) $fields['content-length']);
            yield (string) $body;
            // Another request may have set it meanwhile.
            $this->isCut = $isCut;
            return;
        }
        // A proxy may write an extension behind the size (RFC 9112, 7.1.1).
        while (is_string($line = fgets($stream)) && preg_match('/^([0-9a-f]+)\s*(;.*)?\n$/iD', $line, $size)) {
            $length = (int) hexdec($size[1]);
            if ($length === 0) {
                $this->isCut = false;
                return;
            }
            $chunk = (string) stream_get_contents($stream, $length);
            yield $chunk;
            if (strlen($chunk) < $length) {
                break;
            }
            fgets($stream);
        }
        // Another request may have set it meanwhile.
        $this->isCut = true;
    }

    /**
     * @param array<string, string> $headers
     * @return list<string>
     * @throws \InvalidArgumentException for a line break, behind which a header of its own would stand
     */
    private static function headerLines(array $headers): array
    {
        foreach ($headers as $name => $value) {
            if (preg_match('/[\r\n\0]/', "$name$value")) {
                throw new \InvalidArgumentException('A header has a line break: ' . json_encode($name));
            }
        }
        return array_map(fn ($name, $value) => "$name: $value", array_keys($headers), $headers);
    }
}
