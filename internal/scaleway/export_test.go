package scaleway

import "time"

// Within is the client with no more time for any call than this.
func (c *Client) Within(d time.Duration) *Client {
	c.http.Timeout, c.limits = d, limits{call: d, part: d}
	return c
}
