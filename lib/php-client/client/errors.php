<?php

/** An error that the gateway answers. */
class GatewayError extends \RuntimeException
{
    /** The gateway's code, such as `query_failed`. */
    public readonly string $error;

    /** PostgreSQL's code, where the error is of PostgreSQL. */
    public readonly ?string $sqlstate;
    public readonly ?string $detail;
    public readonly ?string $hint;
    public readonly ?string $constraint;

    /** Whether something may be committed although the call failed. */
    public readonly bool $mayHaveRun;

    /**
     * @param int $status the HTTP status, which getCode() returns too
     * @param array<string, mixed> $body the whole answer
     */
    public function __construct(
        public readonly int $status,
        public readonly array $body,
        ?\Throwable $previous = null,
    ) {
        $text = fn (string $name) => is_string($body[$name] ?? null) ? $body[$name] : null;
        parent::__construct(
            $text('message') ?? "The gateway answers with status $status",
            $status,
            $previous,
        );
        $this->error = $text('error') ?? 'unknown';
        $this->sqlstate = $text('sqlstate');
        $this->detail = $text('detail');
        $this->hint = $text('hint');
        $this->constraint = $text('constraint');
        // What is no answer of the gateway, such as that of a proxy, leaves it open.
        $this->mayHaveRun = ($body['may_have_run'] ?? false) === true
            || ($this->error === 'unknown' && $status >= 500);
    }

    /**
     * Returns the error of an answer, by its SQLSTATE.
     * @param array<string, mixed> $body
     */
    public static function of(int $status, array $body): self
    {
        $class = match ($body['sqlstate'] ?? null) {
            'P0001' => RaisedException::class,
            '23505' => UniqueViolation::class,
            '23503' => ForeignKeyViolation::class,
            '23502' => NotNullViolation::class,
            '23514' => CheckViolation::class,
            '23P01' => ExclusionViolation::class,
            '42501' => InsufficientPrivilege::class,
            '40001', '40P01' => SerializationFailure::class,
            default => self::class,
        };
        return new $class($status, $body);
    }
}

/** No answer arrived: whether the call ran is not known. */
class ConnectionError extends GatewayError
{
    public function __construct(string $cause)
    {
        parent::__construct(0, [
            'error' => 'no_answer',
            'message' => "No answer of the gateway arrived: $cause",
            'may_have_run' => true,
        ]);
    }
}

/** The function raised an exception without an SQLSTATE of its own: P0001. */
class RaisedException extends GatewayError
{
}

/** 23505 */
class UniqueViolation extends GatewayError
{
}

/** 23503 */
class ForeignKeyViolation extends GatewayError
{
}

/** 23502 */
class NotNullViolation extends GatewayError
{
}

/** 23514 */
class CheckViolation extends GatewayError
{
}

/** 23P01 */
class ExclusionViolation extends GatewayError
{
}

/** 42501 */
class InsufficientPrivilege extends GatewayError
{
}

/** 40001 or 40P01: the same call may succeed when it is sent again. */
class SerializationFailure extends GatewayError
{
}
