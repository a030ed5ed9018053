int part1(void)
{
    return VALUE;
}
