"""Components with behavior of their own in the browser; the other half is `page.js`."""
