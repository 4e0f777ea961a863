self:
{
  x = self.evil;
}
